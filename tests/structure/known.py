"""What does not keep the rules yet. Exact: whoever mends one takes it out, and nobody adds one."""

# Folders of more than fifteen modules.
CROWDED: set[str] = set()

# Names of more than one module.
TWICE: set[str] = set()

# Modules without tests by their name.
UNTESTED: set[str] = set()

# Sources with a docstring that opens with a question.
ASKING: set[str] = set()

# Sources that name a family of models outside its place.
NAMING_FAMILIES: set[str] = set()

# Sources that name a form of a weight outside its place.
NAMING_FORMS: set[str] = set()

# Sources that name a type of layer outside its place.
NAMING_LAYERS: set[str] = set()

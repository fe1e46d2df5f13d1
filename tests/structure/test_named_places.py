"""A family of models, a form of a weight and a type of torch's layers are each known in one place."""

import ast

from shrinkml.models.families import FAMILIES
from shrinkml.weights.forms import FORMS
from tests.structure.known import NAMING_FAMILIES, NAMING_FORMS, NAMING_LAYERS
from tests.structure.sources import ROOT, imported_modules, names, sources, strings, tree_of

FAMILY_FOLDERS = tuple(
    f"shrinkml/models/{path.name}" for path in sorted((ROOT / "shrinkml" / "models").iterdir()) if path.is_dir()
)
FAMILY_TABLE = "shrinkml/models/families.py"
FORM_TYPES = {
    kind.__name__ for form in FORMS.values() for kind in form.__mro__ if kind.__module__.startswith("shrinkml.weights")
}
LAYER_TYPES = {
    "Conv1d",
    "Conv2d",
    "ConvTranspose1d",
    "Embedding",
    "GRU",
    "GRUCell",
    "LSTM",
    "LSTMCell",
    "Linear",
    "MultiheadAttention",
    "RNN",
}


def outside(*places: str) -> list[str]:
    return [path for path in sources() if not path.startswith(places)]


def is_of_a_family(module: str) -> bool:
    return f"{module.replace('.', '/')}/".startswith(tuple(f"{folder}/" for folder in FAMILY_FOLDERS))


def torch_layers(tree: ast.Module) -> set[str]:
    """The layer types that `tree` takes from torch: `nn.LSTM`, `torch.nn.LSTM`, `from torch.nn import LSTM`."""
    attributes = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    named = {node.attr for node in attributes if ast.unparse(node.value) in ("nn", "torch.nn")}
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "torch.nn")
    return (named | {alias.name for node in imports for alias in node.names}) & LAYER_TYPES


def test_there_are_families_to_look_for():
    assert {"shrinkml/models/las", "shrinkml/models/huggingface"} <= set(FAMILY_FOLDERS)


def test_there_are_forms_to_look_for():
    assert {"Dense", "IdentityBlock", "Quantized", "Sparse"} <= FORM_TYPES


def test_layers_of_torch_are_found_however_they_are_named():
    assert torch_layers(ast.parse("from torch.nn import GRU\nnn.LSTM(1, 2)\ntorch.nn.Linear\nplotly.Linear")) == {
        "GRU",
        "LSTM",
        "Linear",
    }


def test_a_family_is_named_in_its_folder_and_in_the_table_of_families_only():
    def names_one(path: str) -> bool:
        tree = tree_of(path)
        return any(map(is_of_a_family, imported_modules(tree))) or bool(set(strings(tree)) & FAMILIES.keys())

    assert {path for path in outside(*FAMILY_FOLDERS, FAMILY_TABLE) if names_one(path)} == NAMING_FAMILIES


def test_a_form_of_a_weight_is_named_among_the_weights_only():
    assert {path for path in outside("shrinkml/weights/") if names(tree_of(path)) & FORM_TYPES} == NAMING_FORMS


def test_a_type_of_layer_is_named_among_the_layers_and_where_models_are_built_only():
    builders = ("shrinkml/layers/", "agents/strategies/", *FAMILY_FOLDERS)  # agents have networks of their own
    assert {path for path in outside(*builders) if torch_layers(tree_of(path))} == NAMING_LAYERS

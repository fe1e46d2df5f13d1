"""A docstring opens with the act or the thing, never with a question."""

import re

from tests.structure.known import ASKING
from tests.structure.sources import documented_nodes, sources, tree_of

QUESTION = re.compile(r"(What|Whether|How|Which|Where|Who|When|Why)\b")


def test_no_docstring_opens_with_a_question():
    opened = {path for path in sources() if any(QUESTION.match(text) for _, text in documented_nodes(tree_of(path)))}
    assert opened == ASKING

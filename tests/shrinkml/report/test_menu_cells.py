"""The page says what could be chosen for each layer, and what each layer does alone."""

import re

from shrinkml.report import write_report
from shrinkml.report.menu_cells import alone_in_words, cells_of, choice_in_words
from shrinkml.report.report_json import from_json


def test_the_sentence_names_the_layer_that_does_most_harm_alone(report):
    report["menus"][4]["entries"][0]["wer_alone"] = 0.31
    report["menus"][5]["entries"][0]["wer_alone"] = 0.0058
    said = alone_in_words(from_json(report))
    assert said.startswith("14 plans compressed one layer alone.")
    assert "by encoder.1.weight_ih_l0 at rank 8: 31.00 % from 0.58 %." in said


def test_the_sentence_names_the_chosen_rank_that_is_expected_to_do_most(report):
    report["menus"][6]["entries"][-2].update(rank=48, expected_loss=2.345, chosen=True)
    expected = "encoder.1.weight_ih_l0_reverse's 48 is expected to move the outputs most: 2.3 nats per token, alone."
    assert expected in alone_in_words(from_json(report))


def test_the_sentence_counts_the_ranks_that_left_the_menus_where_the_report_tells_them(report):
    n_left = sum(len(row["entries"]) - 1 for row in report["menus"])
    n_cut = 2 * len(report["menus"])
    assert f"{n_cut} of {n_left + n_cut} ranks left the menus before the search" in alone_in_words(from_json(report))
    for row in report["menus"]:
        del row["cut"]
    assert "left the menus" not in alone_in_words(from_json(report))


def test_a_choice_in_words_tells_every_lever():
    assert choice_in_words(None, None) == "dense"
    assert choice_in_words(24, 4, identity=True) == "24 with identity, 4 bits"
    assert choice_in_words(None, 8, sparsity=0.7) == "dense, 70 % zeros, 8 bits"
    assert choice_in_words(None, 8, units=96) == "dense, 96 units, 8 bits"


def test_a_module_is_kept_or_dropped(report):
    first, *_, last = report["menus"][0]["entries"]
    first["dropped"], last["dropped"] = True, False
    cells = [cell for cell in cells_of(from_json(report)) if cell.layer == report["menus"][0]["name"]]
    assert (cells[0].rank, cells[-1].rank) == ("dropped", "kept")


def test_the_page_lists_every_menu_with_the_chosen_rank_and_the_wer_alone(report, tmp_path):
    write_report(from_json(report), tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    cells = re.search(r'<th scope="row">encoder\.0\.weight_hh_l0</th>(.*?)</tr>', page, re.DOTALL)[1]
    assert re.findall(r"<span>(\w+)</span>", cells) == ["8", "24", "48", "dense"]
    assert re.findall(r'<span class="own">(\w+)</span>', cells) == ["32"]
    assert "<td>8: 7.46 %</td>" in cells

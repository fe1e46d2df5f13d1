import logging

from server.service_log import logging_to


def test_everything_goes_to_the_file_and_warnings_also_to_standard_error(tmp_path, capsys):
    with logging_to(tmp_path / "server.log"):
        logging.getLogger("server.some").info("job tiny-1 submitted")
        logging.getLogger("server.some").warning("the worker ended")
    lines = (tmp_path / "server.log").read_text().splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == [
        "server.some INFO job tiny-1 submitted",
        "server.some WARNING the worker ended",
    ]
    err = capsys.readouterr().err
    assert "the worker ended" in err
    assert "submitted" not in err


def test_a_log_goes_on_where_it_ended(tmp_path):
    for message in ("first", "second"):
        with logging_to(tmp_path / "server.log"):
            logging.getLogger("server.some").info(message)
    logging.getLogger("server.some").warning("after the end")
    assert [line.split()[-1] for line in (tmp_path / "server.log").read_text().splitlines()] == ["first", "second"]

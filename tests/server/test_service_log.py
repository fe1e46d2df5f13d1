import json
import logging
import subprocess
import sys

from server.log_lines import LogFormat
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


def test_a_log_may_be_of_objects(tmp_path):
    with logging_to(tmp_path / "server.log", LogFormat.JSON):
        logging.getLogger("server.some").info("job tiny-1 submitted", extra={"job_id": "tiny-1"})
    (line,) = map(json.loads, (tmp_path / "server.log").read_text().splitlines())
    assert (line["message"], line["job_id"]) == ("job tiny-1 submitted", "tiny-1")


def test_a_worker_writes_all_of_its_log_to_standard_error_in_one_format():
    program = (
        "import logging; from server.service_log import *; log_to_stderr(LogFormat.JSON)\n"
        "logging.getLogger('server.some').warning('the worker ended')"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == ""
    assert [json.loads(line)["message"] for line in run.stderr.splitlines()] == ["the worker ended"]

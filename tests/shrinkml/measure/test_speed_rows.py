"""Records of speed can be imported where torch is not, and are what a report holds."""

import subprocess
import sys
from dataclasses import asdict

from shrinkml.measure.speed_rows import RuntimeRow, Speedup
from shrinkml.report.report_json import from_json
from tests.report_example import example


def test_importing_them_loads_no_torch():
    code = "import sys, shrinkml.measure.speed_rows; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"


def test_a_report_holds_them():
    report = from_json(example())
    assert isinstance(report.speedup, Speedup)
    assert all(isinstance(row, RuntimeRow) for row in report.runtimes)
    assert report.speedup.settings[0].speedup_range == tuple(example()["speedup"]["settings"][0]["speedup_range"])
    assert asdict(report.speedup).keys() == example()["speedup"].keys()

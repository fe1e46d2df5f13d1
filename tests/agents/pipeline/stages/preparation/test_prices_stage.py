import json

from agents.execution.local_executor import LocalExecutor
from agents.pipeline.folder.run_folder import RunFolder
from agents.pipeline.price_lists import price_list
from agents.pipeline.stage import Finished, RunState, Tools
from agents.pipeline.stages.preparation.prices_stage import PRICES, prices_of


def test_prices_are_measured_only_where_something_else_than_parameters_counts(tiny_job):
    present = {
        resource: PRICES.present(tiny_job(goal={"compression_ratio": 3.0, "resource": resource}), 3.0)
        for resource in ("parameters", "macs", "latency")
    }
    assert present == {"parameters": False, "macs": True, "latency": True}


def test_a_job_of_parameters_knows_its_prices_and_others_read_what_was_measured(materials, spec, tmp_path):
    tools = Tools(spec, RunFolder(tmp_path), materials, LocalExecutor(), lambda: False)
    known = prices_of(tools, RunState())
    assert known == price_list(materials, "parameters")
    measured = price_list(materials, "macs")
    (tmp_path / "prices.json").write_text(json.dumps(measured.to_json()))
    state = RunState(finished={"prices": Finished("prices", tmp_path, None, 0.0)})
    assert prices_of(tools, state) == measured != known

import os
import subprocess
import sys

import ray

from agents.execution.ray.ray_cluster import RAY_SETTINGS, WORKER_ENVIRONMENT, environment


def test_the_environment_is_as_it_was_afterwards(monkeypatch):
    monkeypatch.setenv("SHRINK_TEST_SET", "before")
    monkeypatch.delenv("SHRINK_TEST_UNSET", raising=False)
    with environment({"SHRINK_TEST_SET": "inside", "SHRINK_TEST_UNSET": "inside"}):
        assert os.environ["SHRINK_TEST_SET"] == os.environ["SHRINK_TEST_UNSET"] == "inside"
    assert os.environ["SHRINK_TEST_SET"] == "before"
    assert "SHRINK_TEST_UNSET" not in os.environ


def test_a_cluster_of_its_own_starts_once_and_its_workers_have_one_thread(ray_executor):
    with environment(RAY_SETTINGS):
        folder = ray_executor._cluster.start()
        assert ray_executor._cluster.start() == folder
    assert folder.is_dir()
    assert ray.cluster_resources()["CPU"] == 2.0
    names = tuple(WORKER_ENVIRONMENT)
    seen = ray.remote(num_cpus=0)(lambda: {name: os.environ.get(name) for name in names}).remote()
    assert ray.get(seen, timeout=60.0) == {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}


def test_a_cluster_that_was_joined_runs_on_and_the_folder_goes(ray_executor):
    ray_executor._cluster.start()
    program = (
        "import sys; from agents.execution.ray.ray_cluster import RayCluster\n"
        "cluster = RayCluster(1, address=sys.argv[1], on_gpu=False)\n"
        "folder = cluster.start(); assert folder.is_dir()\n"
        "cluster.close(); assert not folder.exists(); cluster.close()\n"
    )
    address = ray.get_runtime_context().gcs_address
    done = subprocess.run([sys.executable, "-c", program, address], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert ray.cluster_resources()["CPU"] == 2.0

"""Builds the package's one compiled part; everything else about the package stands in pyproject.toml."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        # Plain C, opened with ctypes. Optional: without a compiler the package still installs, its LSTMs are slower.
        Extension(
            "shrinkml.layers.kernel._lstm_kernel",
            sources=["shrinkml/layers/kernel/lstm_kernel.c"],
            extra_compile_args=["-O3", "-fno-math-errno", "-fno-trapping-math"],
            optional=True,
        )
    ]
)

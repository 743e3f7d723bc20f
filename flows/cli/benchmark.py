"""`mkgan benchmark`."""

from __future__ import annotations

import typer

from flows.cli.display import Display, Quiet, Verbose
from flows.cli.model_options import options_of
from flows.cli.options import TrustWeights, WeightFiles
from flows.config import BenchmarkConfig
from mkgan_core.machine import trust
from mkgan_core.machine.places import add_weights


@options_of(BenchmarkConfig, {"methods": "--method"})
def benchmark(
    config: BenchmarkConfig,
    weights: WeightFiles = None,
    trust_weights: TrustWeights = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Run methods on a data set and print the comparison; the last line names the report."""
    add_weights(weights)
    trust.trust_weights(trust_weights)
    from deployments.server import ensure_prefect_api

    server = ensure_prefect_api()
    from flows.cli.run import run_benchmark  # imports Prefect, while the server starts

    raise typer.Exit(run_benchmark(config, server, Display(quiet, verbose)))

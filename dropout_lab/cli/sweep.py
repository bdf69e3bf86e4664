"""``dropout-lab sweep``: every combination of the grid, for each seed, and its pictures."""

from typing import Annotated

import typer

from dropout_lab.cli import options


def sweep(
    config: options.ConfigFile = None,
    p: options.P = None,
    set_: options.Set = None,
    seeds: options.Seeds = None,
    epochs: options.Epochs = None,
    baseline: Annotated[
        bool | None,
        typer.Option(
            "--baseline/--no-baseline",
            help="Add a run without dropout for each seed. (default: as the config says)",
            show_default=False,
        ),
    ] = None,
    out: options.Out = None,
    data_dir: options.DataDir = None,
    device: options.Device = "auto",
    fleet: options.FleetSize = None,
    memory: options.Memory = None,
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    save_models: options.SaveModels = False,
    retry: options.Retry = None,
    force_precision: options.ForcePrecision = False,
    plugin: options.Plugins = None,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train every combination of the grid for each seed, then draw the pictures.

    The same command resumes it, or with more p or seeds extends it; no finished run is retrained.
    """
    from dropout_lab.config.grid import sweep_cells
    from dropout_lab.config.load import load
    from dropout_lab.config.overrides import Changes

    options.check_device(device)
    options.check_retry(retry)
    options.check_cluster(workers, scheduler)
    options.load_plugins(plugin)
    settings = load(config, Changes(tuple(set_ or ()), epochs, seeds, p, sweep=True))
    cells = sweep_cells(settings, baseline=baseline)

    from dropout_lab.cli.study_output import run

    study = options.make_study(
        settings,
        cells,
        out=out,
        data_dir=data_dir,
        device=device,
        fleet=fleet,
        memory=memory,
        workers=workers,
        scheduler=scheduler,
        save_models=save_models,
        retry=retry,
    )
    run(study, plots=True, dry_run=dry_run, json=json, quiet=quiet, force=force_precision)

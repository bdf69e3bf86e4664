"""``dropout-lab sweep``: every combination of the grid, for each seed, and its pictures."""

from dropout_lab.cli import options
from dropout_lab.cli.config_files import ConfigOption, GivenConfig, config_path


def sweep(
    given: GivenConfig = None,
    config: ConfigOption = None,
    p: options.SweepP = None,
    lr: options.SweepRate = None,
    set_: options.Set = None,
    seed: options.Seed = None,
    seeds: options.Seeds = None,
    epochs: options.Epochs = None,
    baseline: options.Baseline = None,
    name: options.Name = None,
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
    """Train every setting of the sweep, once for each seed, and draw the plots.

    Run the same command again to resume an interrupted study, or with more values or seeds to
    extend it. Completed runs are not retrained.
    """
    from dropout_lab.config.load import load_with_cells
    from dropout_lab.config.overrides import Changes

    options.check_device(device)
    options.check_retry(retry)
    options.check_cluster(workers, scheduler, dry_run=dry_run)
    options.load_plugins(plugin)
    changes = Changes(tuple(set_ or ()), epochs, seeds, p, True, seed, lr, name)
    path = config_path("sweep", given, config)
    settings, cells = load_with_cells(path, changes, baseline=baseline)

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

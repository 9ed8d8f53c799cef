"""Tasks of a build through Apache Beam (the extra `beam`), on whatever runs its pipelines."""

from collections.abc import Callable, Sequence

from magenta_vae.data.distributed import RunTasks


def make_run_tasks(runner: str, flags: Sequence[str] = ()) -> RunTasks:
    """Returns what runs tasks as elements of a pipeline.

    Args:
        runner: Beam's name for what runs it, such as DirectRunner or FlinkRunner.
        flags: Beam's own, as its documentation gives them.

    Raises:
        ValueError: where Beam is not installed.
    """
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise ValueError(
            "--runner needs Apache Beam: pip install 'magenta_vae[beam]'. Without --runner the "
            "data set is built on this machine."
        ) from error
    options = PipelineOptions([f"--runner={runner}", *flags], save_main_session=False)

    def run_tasks(function: Callable[..., None], tasks: Sequence[tuple], what: str) -> None:
        if not tasks:
            return
        with beam.Pipeline(options=options) as pipeline:
            _ = (
                pipeline
                | "tasks" >> beam.Create(list(tasks))
                | "spread" >> beam.Reshuffle()
                | what >> beam.Map(lambda task: function(*task))
            )

    return run_tasks

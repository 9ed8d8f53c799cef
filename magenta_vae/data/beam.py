"""The same windows on many machines, through Apache Beam (the extra `beam`).

What a song gives and what a record is come from the modules that the local builder uses; Beam does
what that does with a journal and worker processes. The windows are the same, in shards of Beam's
order.
"""

import json
import os
from collections.abc import Callable, Sequence

import numpy as np

from magenta_vae.data import descriptions, records, sources
from magenta_vae.data.examination import Outcome, count_outcomes, examine
from magenta_vae.data.journal import Journal
from magenta_vae.data.settings import Settings
from magenta_vae.data.shards import SPLITS
from magenta_vae.files import require_new_folder


def build(
    files: Sequence[str],
    output_dir: str,
    settings: Settings,
    runner: str,
    flags: Sequence[str] = (),
    explain: Callable[[str], None] | None = None,
    compression: str | None = None,
) -> dict:
    """Builds a data set as `builder.build` does and returns its description.

    Args:
        files: paths that every machine can read, on a disk that they share.
        output_dir: a folder that does not exist or is empty, on that disk.
        settings: what a window is.
        runner: Beam's name for what runs it, such as DirectRunner or FlinkRunner.
        flags: Beam's own, as its documentation gives them.
        explain: is given a line for every song.
        compression: as of `builder.build`.

    Raises:
        FileExistsError: where `output_dir` holds something already.
        ValueError: where no window is left, or Beam is not installed.
    """
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise ValueError(
            "--runner needs Apache Beam: pip install 'magenta_vae[beam]'. Without --runner the "
            "data set is built on this machine."
        ) from error
    output_dir = os.path.realpath(output_dir)
    require_new_folder("--output_dir", output_dir)
    options = PipelineOptions([f"--runner={runner}", *flags], save_main_session=False)
    journal = Journal(output_dir, settings.token_dtype, settings.row_size)
    with journal.locked():
        if journal.is_begun:
            raise FileExistsError(
                f"{journal.directory} holds what a build without --runner has done. Give its "
                "command again to go on, or remove the folder."
            )
        journal.clear_data()
        with beam.Pipeline(options=options) as pipeline:
            _lay_out(pipeline, list(files), journal.data_dir, settings, compression)
        outcomes = [Outcome(*fields) for fields in _read_lines(journal.data_dir, "outcomes")]
        for outcome in sorted(outcomes):
            if explain is not None:
                explain(str(outcome))
        shards = _collect_shards(journal.data_dir)
        try:
            counts = count_outcomes(outcomes)
            description = descriptions.describe(settings, counts, shards, compression)
        except ValueError:
            journal.remove()
            raise
        descriptions.write(journal.data_dir, description)
        os.replace(journal.data_dir, output_dir)
        journal.remove()
    return description


def _lay_out(
    pipeline, files: list[str], work_dir: str, settings: Settings, compression: str | None
) -> None:
    """Adds the steps of a build to a pipeline."""
    import apache_beam as beam
    from apache_beam.io.filesystem import CompressionTypes

    is_packed = compression == records.GZIP
    packing = CompressionTypes.GZIP if is_packed else CompressionTypes.UNCOMPRESSED
    outcomes = (
        pipeline
        | "files" >> beam.Create(files)
        | "spread files" >> beam.Reshuffle()
        | "songs" >> beam.FlatMap(lambda path: sources.read_sources([path]))
        | "spread songs" >> beam.Reshuffle()
        | "examine" >> beam.Map(examine, settings)
    )
    unique = (
        outcomes
        | "windows" >> beam.FlatMap(_rows)
        | "unique" >> beam.CombinePerKey(min)  # 0 is train: a window of train is never in eval.
    )
    (
        outcomes
        | "outcome lines" >> beam.Map(lambda outcome: json.dumps(list(outcome[:-1])))
        | "write outcomes" >> beam.io.WriteToText(os.path.join(work_dir, "outcomes"))
    )
    for index, split in enumerate(SPLITS):
        (
            unique
            | f"only {split}" >> beam.Filter(lambda pair, index=index: pair[1] == index)
            | f"batch {split}" >> beam.BatchElements(min_batch_size=64, max_batch_size=4096)
            | f"serialize {split}" >> beam.ParDo(_make_serialize(settings))
            | f"write {split}"
            >> beam.io.WriteToTFRecord(
                os.path.join(work_dir, split),
                file_name_suffix=".tfrecord",
                compression_type=packing,
            )
        )


def _rows(outcome: Outcome):
    """Yields each window's tokens as bytes, with the number of its split."""
    if outcome.rows is not None:
        for row in outcome.rows:
            yield row.tobytes(), SPLITS.index(outcome.split)


def _make_serialize(settings: Settings):
    """Returns a `DoFn` from batches of windows to their records."""
    import apache_beam as beam

    class Serialize(beam.DoFn):
        def setup(self):
            self._serialize = records.WindowSerializer(settings.tracks, settings.num_steps)

        def process(self, pairs):
            rows = np.frombuffer(b"".join(row for row, _ in pairs), settings.token_dtype)
            yield from self._serialize(rows.reshape(-1, settings.num_steps, len(settings.tracks)))

    return Serialize()


def _read_lines(work_dir: str, name: str):
    """Yields the JSON values that Beam wrote as text under a name, and removes them."""
    for path in sorted(os.listdir(work_dir)):
        if path.startswith(name + "-"):
            full = os.path.join(work_dir, path)
            with open(full) as file:
                yield from map(json.loads, file)
            os.unlink(full)


def _collect_shards(work_dir: str) -> dict[str, dict[str, int]]:
    """Returns the number of windows in each shard; those without any are removed and renumbered."""
    counted: dict[str, dict[str, int]] = {}
    for split in SPLITS:
        paths = [
            os.path.join(work_dir, name)
            for name in sorted(os.listdir(work_dir))
            if name.startswith(split + "-")
        ]
        sizes = {path: sum(1 for _ in records.read_records(path)) for path in paths}
        filled = [path for path in paths if sizes[path]]
        for path in paths:
            if path not in filled:
                os.unlink(path)
        counted[split] = {}
        for index, path in enumerate(filled):
            name = f"{split}-{index:05d}-of-{len(filled):05d}.tfrecord"
            os.replace(path, os.path.join(work_dir, name))
            counted[split][name] = sizes[path]
    return counted

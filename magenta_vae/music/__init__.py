"""Music without TensorFlow: files, songs, tokens, windows, pictures and sound."""

import warnings

with warnings.catch_warnings():
    # note_seq pulls in pydub, which warns where ffmpeg is missing. Nothing here decodes audio.
    warnings.simplefilter("ignore")
    import note_seq as _note_seq  # noqa: F401

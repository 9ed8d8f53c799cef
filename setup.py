"""Package metadata: the only place that names dependencies."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(
    r'__version__ = "(.+)"', (ROOT / "magenta_vae" / "__init__.py").read_text()
).group(1)

PAPER = (
    "https://nips2017creativity.github.io/doc/Hierarchical_Variational_Autoencoders_for_Music.pdf"
)

# The gin files, the commands and the bundled songs lie beside the package in a checkout and travel
# inside it in a wheel.
BESIDE = ("gin_configs", "scripts", "testdata")

setup(
    name="magenta_vae",
    version=VERSION,
    description="Hierarchical Variational Autoencoders for Music (MusicVAE) on Keras 3",
    long_description=(ROOT / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Science/Research",
        "Intended Audience :: End Users/Desktop",
        "Operating System :: POSIX :: Linux",
        "Operating System :: MacOS",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Multimedia :: Sound/Audio :: MIDI",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
    project_urls={"Paper": PAPER},
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=["magenta_vae*"]) + [f"magenta_vae.{name}" for name in BESIDE],
    package_dir={f"magenta_vae.{name}": name for name in BESIDE},
    package_data={
        "magenta_vae": ["py.typed", "models/*/*", "page/*", "page/*/*", "page/*/*/*"],
        **{f"magenta_vae.{name}": ["*", "*/*", "*/*/*"] for name in BESIDE},
    },
    entry_points={"console_scripts": ["magenta_vae = magenta_vae.__main__:main"]},
    install_requires=[
        "absl-py>=2.1",
        "gin-config>=0.5",
        "google-crc32c>=1.7",
        "keras>=3.15",
        "matplotlib>=3.9",
        "note-seq>=0.0.5",
        "numpy>=2.1",
        "pretty-midi>=0.2.10",  # within note-seq, whose reader is bounded through it
        "safetensors>=0.4",
        "symusic>=0.6",
        "tensorboard>=2.20",  # tf.summary raises without it
        "tensorflow>=2.20",
        "tensorflow-probability>=0.25",
        "tf-keras>=2.20.1",  # imported by tensorflow-probability
        "tqdm>=4.66",
        'audioop-lts; python_version >= "3.13"',  # imported by note-seq's pydub
    ],
    extras_require={
        "beam": ["apache-beam>=2.77"],  # data sets built on many machines
        "docs": ["mkdocs-material>=9.7", "mkdocstrings[python]>=1.0"],  # the site
        "dask": ["distributed>=2026.8"],  # the same
        "audio": ["pyfluidsynth>=1.4"],  # SoundFonts, with the system's libfluidsynth
        "explore": ["starlette>=1.0", "uvicorn>=0.34"],  # latent spaces in the browser
        "hub": ["huggingface_hub>=0.30"],  # models at hf:// addresses
        "litert": ["ai-edge-litert>=2.3"],
        "onnx": ["onnx>=1.23", "onnxruntime>=1.32", "tf2onnx>=1.17"],
        "serving": ["tensorflow-serving-api>=2.20"],  # gRPC: REST needs none of it
        "umap": ["umap-learn>=0.5.7"],  # maps of latent spaces that keep neighbours together
        "test": [
            "distributed>=2026.8",
            "httpx>=0.28",
            "huggingface_hub>=0.30",
            "ipykernel>=6.29",
            "mido>=1.3",  # finds the same notes
            "mypy>=2.4",
            "muspy>=0.5",  # measures the same statistics
            "music21>=9.3",  # reads the same scores and tunes
            "nbclient>=0.10",
            "nbformat>=5.10",
            "onnx>=1.23",
            "onnxruntime>=1.32",
            "playwright>=1.65",  # drives a Chromium that is installed
            "pytest>=8.0",
            "pytest-xdist>=3.6.1",
            "ruff>=0.17",
            "starlette>=1.0",
            "tensorflow-serving-api>=2.20",
            "tf2onnx>=1.17",
            "types-protobuf>=7.35",
            "types-tqdm>=4.70",
            "uvicorn>=0.34",
        ],
    },
)

"""What is private to TensorFlow and Keras is used in one module, and checked there."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import keras
import pytest
import tensorflow as tf

from magenta_vae import private_apis

PACKAGE = Path(private_apis.__file__).parent
ROOTS = {"tensorflow", "keras", "tensorflow_probability", "tf_keras"}
PRIVATE = re.compile(
    r"tensorflow\.(python|core|compiler)\b|keras\.src\b|tensorflow_probability\.(python|substrates)\b"
    r"|.*\._(?!_)|.*\.__internal__\b"
)
OF_PYTHON = {"_replace", "_asdict", "_fields", "_make", "_exit"}  # of named tuples, and of `os`


def is_private(name):
    return name.split(".")[0] in ROOTS and bool(PRIVATE.match(name))


def called_ours(nodes):
    """Returns the modules of ours that a module imports something from."""
    return {
        node.module
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == PACKAGE.name
    }


def methods_of(module):
    """Returns what the classes of a module of ours define, for those that inherit from them."""
    path = PACKAGE.parent.joinpath(*module.split(".")).with_suffix(".py")
    tree = ast.parse(path.read_text() if path.exists() else "")
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    return {each.name for one in classes for each in one.body if isinstance(each, ast.FunctionDef)}


def private_uses(source):
    """Returns what a module uses of the packages that is private, by name.

    Imports and attributes of the packages; attributes that begin with an underscore, of anything
    that is not the module's own; and those of `self` that a class has from Keras.
    """
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    called = {}  # what the packages' modules are called
    for node in nodes:
        if isinstance(node, ast.Import):
            names = {alias.asname or alias.name.split(".")[0]: alias.name for alias in node.names}
            yield from filter(is_private, names.values())
        elif isinstance(node, ast.ImportFrom):
            names = {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
            yield from filter(is_private, names.values())
        else:
            continue
        called |= {name: full for name, full in names.items() if full.split(".")[0] in ROOTS}
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    named = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    own = {node.name for node in nodes if isinstance(node, named)}
    own |= set().union(*(methods_of(name) for name in called_ours(nodes)))
    own |= {n.attr for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)}
    own |= {n.target.id for c in classes for n in c.body if isinstance(n, ast.AnnAssign)}
    for node in nodes:
        if isinstance(node, ast.Attribute):
            name = ast.unparse(node)
            first, _, rest = name.partition(".")
            is_others = re.match("_(?!_)", node.attr) and node.attr not in own | OF_PYTHON
            if is_others or is_private(f"{called.get(first, first)}.{rest}"):
                yield name
    for node in classes:
        bases = [ast.unparse(base) for base in node.bases]
        if any(called.get(base.split(".")[0]) for base in bases):
            methods = {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
            yield from (f"{node.name}.{name}" for name in methods if is_private_hook(bases, name))


def is_private_hook(bases, name):
    """Says whether a method is one of the base's that may not be overridden."""
    found = [eval(base, {"keras": keras, "tf": tf}) for base in bases]
    return re.match("_(?!_)", name) and any(hasattr(base, name) for base in found)


@pytest.mark.parametrize(
    "module", [str(path.relative_to(PACKAGE)) for path in sorted(PACKAGE.rglob("*.py"))]
)
def test_private_apis_are_used_in_one_module(module):
    found = set(private_uses((PACKAGE / module).read_text()))
    if module == "private_apis.py":
        assert found
    else:
        assert not found, f"{module} uses {found}: give it a name in private_apis."


@pytest.mark.parametrize(
    "source",
    [
        "from tensorflow.python.ops import summary_ops_v2",
        "import tensorflow_probability.python.distributions as tfd",
        "from keras.src import backend",
        "from tensorflow.core.protobuf import meta_graph_pb2",
        "import tensorflow as tf\ntf.__internal__.dispatch",
        "import tensorflow as tf\ndef f(writer): return writer._resource",
        "import keras\nclass A(keras.Model):\n    def _get_variable_map(self): pass",
        "import keras\nclass A(keras.optimizers.Adam):\n    def f(self): return self._velocities",
    ],
)
def test_the_test_finds_them(source):
    assert list(private_uses(source))


def test_each_is_there():
    assert issubclass(private_apis.open_adam(), keras.optimizers.Adam)
    assert private_apis.distributions().MultivariateNormalDiag
    for names in (
        ("tensorflow.python.ops.summary_ops_v2", "import_event"),
        ("tensorflow.python.client.device_lib", "list_local_devices"),
        ("tensorflow.python.framework.convert_to_constants", "convert_variables_to_constants_v2"),
        ("tensorflow.core.protobuf.trackable_object_graph_pb2", "TrackableObjectGraph"),
    ):
        assert private_apis._find("tensorflow", *names)


@pytest.mark.parametrize("names", [("keras.optimizers", "Adam", "_gone"), ("keras.src.gone", "it")])
def test_what_is_gone_is_named_with_the_versions_that_were_tried(names):
    message = f"{'.'.join(names)} is private.*{keras.__version__}. Tried: keras 3.15."
    with pytest.raises(RuntimeError, match=message):
        private_apis._find("keras", *names)


def test_distributions_have_a_public_name_too(monkeypatch):
    ours = private_apis.distributions()
    monkeypatch.setitem(sys.modules, "tensorflow_probability.python.distributions", None)
    assert private_apis.distributions() is ours


def test_nothing_is_imported_before_it_is_asked_for():
    program = (
        "import sys, magenta_vae.private_apis; "
        f"print(sorted({ROOTS} & {{each.split('.')[0] for each in sys.modules}}))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout.strip() == "[]", ran.stderr

"""Every example in a docstring does what it says, and everything public has a docstring."""

import doctest
import importlib
import importlib.util
import inspect
import pkgutil

import caffe

# Modules that an optional library is needed for; each raises an ImportError that says which.
OPTIONAL = ("caffe.hwgq.torch",)
SKIPPED = ("caffe.proto.caffe_pb2", "caffe.cli.__main__")  # generated; a program
HAS_ONNX = importlib.util.find_spec("onnx") is not None


def modules():
    yield caffe
    for module in pkgutil.walk_packages(caffe.__path__, "caffe."):
        if module.name in SKIPPED or module.name.startswith("caffe._caffe"):
            continue
        if module.name.startswith("caffe.export.") and not HAS_ONNX:
            continue
        try:
            yield importlib.import_module(module.name)
        except ImportError as error:
            if not module.name.startswith(OPTIONAL):
                raise
            assert "pip install" in str(error)


def test_examples():
    attempted = 0
    for module in modules():
        failed, tried = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
        assert not failed, module.__name__
        attempted += tried
    assert attempted >= 10


def test_everything_public_is_documented():
    undocumented = []
    for module in modules():
        if not module.__doc__:
            undocumented.append(module.__name__)
        for name, thing in vars(module).items():
            if name.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
                continue
            if module.__name__.startswith("caffe.cli.") and name in ("run", "main"):
                continue  # a subcommand's entry, which its module documents
            if inspect.isfunction(thing) or inspect.isclass(thing):
                if not inspect.getdoc(thing):
                    undocumented.append(f"{module.__name__}.{name}")
            if inspect.isclass(thing):
                undocumented += [
                    f"{module.__name__}.{name}.{method}"
                    for method, function in vars(thing).items()
                    if inspect.isfunction(function) and not method.startswith("_") and not function.__doc__
                ]
    assert not undocumented

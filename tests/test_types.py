"""The type hints of the compiled module name what is in it."""

import ast
import inspect

from caffe import _caffe


def test_stub_and_module_have_the_same_names(root):
    tree = ast.parse((root / "caffe/_caffe.pyi").read_text())
    defined = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            defined[node.name] = {
                it.name if isinstance(it, ast.FunctionDef) else it.target.id
                for it in node.body
                if isinstance(it, ast.FunctionDef | ast.AnnAssign)
            }
        elif isinstance(node, ast.FunctionDef):
            defined[node.name] = set()
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            defined[target.id] = set()
    there = {name for name in vars(_caffe) if not name.startswith("__") or name == "__version__"}
    assert set(defined) == there
    for name, members in defined.items():
        thing = getattr(_caffe, name)
        if not inspect.isclass(thing) or thing is list:
            continue
        public = {member for member in vars(thing) if not member.startswith("_")}
        assert public <= members, f"{name}: {sorted(public - members)} are not in the stub"
        missing = {member for member in members if not hasattr(thing, member)}
        assert not missing or name == "Error", f"{name}: {sorted(missing)} are not in the module"

"""Idioms of scripts that were written for pycaffe, in scripts of their kind, run as their users run them."""

import subprocess
import sys
import sysconfig

import numpy as np
import pytest

NET = """
name: "Small"
input: "data"
input_dim: 2
input_dim: 3
input_dim: 8
input_dim: 8
layers { name: "conv1" type: CONVOLUTION bottom: "data" top: "conv1" blobs_lr: 1 blobs_lr: 2
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layers { name: "relu1" type: RELU bottom: "conv1" top: "conv1" }
layers { name: "fc" type: INNER_PRODUCT bottom: "conv1" top: "fc"
  inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layers { name: "prob" type: SOFTMAX bottom: "fc" top: "prob" }
"""

CLASSIFY = """
import numpy as np
import sys

caffe_root = {root!r}
sys.path.insert(0, caffe_root + 'python')

import caffe
assert caffe.__file__.startswith(caffe_root + 'python')

caffe.set_mode_cpu()
net = caffe.Net('deploy.prototxt', 'weights.caffemodel', caffe.TEST)

mu = np.load(caffe_root + 'python/caffe/imagenet/ilsvrc_2012_mean.npy').mean(1).mean(1)
assert np.abs(mu - caffe.io.IMAGENET_MEAN).max() < 1e-3
transformer = caffe.io.Transformer({{'data': net.blobs['data'].data.shape}})
transformer.set_transpose('data', (2, 0, 1))
transformer.set_mean('data', mu)
transformer.set_raw_scale('data', 255)
transformer.set_channel_swap('data', (2, 1, 0))

net.blobs['data'].reshape(1, 3, 8, 8)
image = np.random.RandomState(0).rand(8, 8, 3)
net.blobs['data'].data[...] = transformer.preprocess('data', image)
output = net.forward()
output_prob = output['prob'][0]
print('predicted class is: %d' % output_prob.argmax())
assert abs(output_prob.sum() - 1) < 1e-5

for layer_name, blob in net.blobs.items():
    print(layer_name + '\\t' + str(blob.data.shape))
for layer_name, param in net.params.items():
    print(layer_name + '\\t' + str(param[0].data.shape), str(param[1].data.shape))

filters = net.params['conv1'][0].data
net.params['conv1'][0].data[...] = filters * 2
net.blobs['data'].reshape(50, 3, 8, 8)
net.reshape()
out = net.forward_all(data=np.asarray([transformer.preprocess('data', image)] * 120))
assert out['prob'].shape == (120, 5)
feat = net.blobs['conv1'].data[0, :36]
top_inds = output_prob.argsort()[::-1][:5]
net.save('changed.caffemodel')
print(list(net._layer_names), net.inputs, net.outputs, [l.type for l in net.layers])
"""

TRAIN = """
import sys
sys.path.insert(0, {root!r} + 'python')
import caffe

caffe.set_device(0) if False else caffe.set_mode_cpu()
solver = None
solver = caffe.SGDSolver('solver.prototxt')
print([(k, v.data.shape) for k, v in solver.net.blobs.items()])
solver.net.forward()
solver.test_nets[0].forward()
solver.net.layers[0].type
niter = 20
train_loss = []
for it in range(niter):
    solver.step(1)
    train_loss.append(float(solver.net.blobs['loss'].data))
    solver.test_nets[0].forward(start='ip')
    if it % 10 == 0:
        print('iteration', solver.iter, 'loss', train_loss[-1], solver.test_nets[0].blobs['loss'].data)
solver.net.save('final.caffemodel')
solver.test_nets[0].share_with(solver.net)
"""


@pytest.fixture
def run(root, tmp_path):
    def run_script(text):
        script = tmp_path / "script.py"
        script.write_text(text.format(root=str(root) + "/"))
        # -S: the package is found by the path that the script sets, not where it is installed.
        paths = f"import sys; sys.path.append({sysconfig.get_path('purelib')!r});"
        return subprocess.run(
            [sys.executable, "-S", "-c", paths + f"exec(open({str(script)!r}).read())"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    return run_script


def test_classification_script(run, tmp_path):
    import caffe

    (tmp_path / "deploy.prototxt").write_text(NET)
    caffe.Net(str(tmp_path / "deploy.prototxt"), caffe.TEST).save(str(tmp_path / "weights.caffemodel"))
    done = run(CLASSIFY)
    assert done.returncode == 0, done.stderr
    assert "predicted class is: " in done.stdout
    assert "conv1\t(4, 3, 3, 3) (4,)" in done.stdout
    assert "['data'] ['prob'] ['Input', 'Convolution', 'ReLU', 'InnerProduct', 'Softmax']" in done.stdout
    before = caffe.Net(str(tmp_path / "deploy.prototxt"), str(tmp_path / "weights.caffemodel"), caffe.TEST)
    after = caffe.Net(str(tmp_path / "deploy.prototxt"), str(tmp_path / "changed.caffemodel"), caffe.TEST)
    np.testing.assert_array_equal(after.params["conv1"][0].data, 2 * before.params["conv1"][0].data)


def test_training_script(run, tmp_path):
    (tmp_path / "net.prototxt").write_text(
        'layer { name: "d" type: "DummyData" top: "data" top: "label" dummy_data_param {'
        " shape { dim: 8 dim: 3 } shape { dim: 8 dim: 2 } data_filler { type: 'gaussian' } } }"
        'layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param {'
        " num_output: 2 weight_filler { type: 'xavier' } } }"
        'layer { name: "loss" type: "EuclideanLoss" bottom: "ip" bottom: "label" top: "loss" }'
    )
    (tmp_path / "solver.prototxt").write_text(
        'net: "net.prototxt" test_iter: 1 test_interval: 1000 base_lr: 0.01 lr_policy: "fixed" max_iter: 100'
        " display: 0 test_initialization: false solver_mode: CPU random_seed: 3"
    )
    done = run(TRAIN)
    assert done.returncode == 0, done.stderr
    assert "('ip', (8, 2))" in done.stdout and "iteration 11 loss" in done.stdout
    assert (tmp_path / "final.caffemodel").is_file()

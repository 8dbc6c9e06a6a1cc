"""Nets written in Python."""

import pytest

import caffe
from caffe import layers as L
from caffe import params as P
from caffe.net_spec import assign_proto, param_name_dict
from caffe.proto import caffe_pb2


def lenet():
    n = caffe.NetSpec()
    n.data, n.label = L.DummyData(
        shape=[dict(dim=[2, 1, 28, 28]), dict(dim=[2])], transform_param=dict(scale=0.5), ntop=2
    )
    n.conv1 = L.Convolution(n.data, kernel_size=5, num_output=4, weight_filler=dict(type="xavier"))
    n.pool1 = L.Pooling(n.conv1, kernel_size=2, stride=2, pool=P.Pooling.AVE)
    n.ip1 = L.InnerProduct(n.pool1, num_output=10, weight_filler=dict(type="xavier"))
    n.relu1 = L.ReLU(n.ip1, in_place=True)
    n.loss = L.SoftmaxWithLoss(n.relu1, n.label)
    return n


def test_layers_come_in_order_with_their_names():
    net = lenet().to_proto()
    assert [(layer.name, layer.type) for layer in net.layer] == [
        ("data", "DummyData"),
        ("conv1", "Convolution"),
        ("pool1", "Pooling"),
        ("ip1", "InnerProduct"),
        ("relu1", "ReLU"),
        ("loss", "SoftmaxWithLoss"),
    ]
    assert list(net.layer[0].top) == ["data", "label"]
    assert list(net.layer[4].bottom) == list(net.layer[4].top) == ["ip1"]
    assert list(net.layer[5].bottom) == ["ip1", "label"]


def test_parameters_go_where_they_belong():
    net = lenet().to_proto()
    assert net.layer[0].transform_param.scale == 0.5
    assert [list(shape.dim) for shape in net.layer[0].dummy_data_param.shape] == [[2, 1, 28, 28], [2]]
    assert net.layer[1].convolution_param.weight_filler.type == "xavier"
    assert list(net.layer[1].convolution_param.kernel_size) == [5]
    assert net.layer[2].pooling_param.pool == caffe_pb2.PoolingParameter.AVE


def test_the_engine_takes_what_is_written(tmp_path):
    file = tmp_path / "net.prototxt"
    file.write_text(str(lenet().to_proto()))
    net = caffe.Net(file, caffe.TRAIN)
    assert net.blobs["ip1"].shape == (2, 10)
    assert net.layer_dict["relu1"].type == "ReLU"


def test_one_blob_is_a_net_too():
    silent = L.Silence(L.DummyData(shape=dict(dim=1)), ntop=0)
    assert silent.ntop == 0
    data = L.DummyData(shape=dict(dim=[1]))
    one = L.ReLU(data)
    net = caffe.to_proto(one, L.TanH(data))
    assert [layer.type for layer in net.layer] == ["DummyData", "ReLU", "TanH"]
    names = [layer.name for layer in net.layer]
    assert len(set(names)) == 3
    assert [layer.bottom[0] for layer in net.layer[1:]] == [names[0]] * 2
    assert one.to_proto().layer[-1].type == "ReLU"


def test_layers_without_tops_are_written():
    n = caffe.NetSpec()
    n.data = L.DummyData(shape=dict(dim=[1]))
    n.quiet = L.Silence(n.data, ntop=0)
    net = n.to_proto()
    assert [layer.name for layer in net.layer] == ["data", "quiet"]
    assert not net.layer[1].top


def test_items_and_attributes_are_the_same():
    n = caffe.NetSpec()
    n["a/b"] = L.DummyData(shape=dict(dim=[1]))
    n.c = L.ReLU(n["a/b"])
    assert n["c"] is n.c
    assert [layer.name for layer in n.to_proto().layer] == ["a/b", "c"]
    with pytest.raises(AttributeError, match="no blob 'd'"):
        n.d  # noqa: B018


def test_fields_of_the_layer_and_lists_of_messages():
    data = L.DummyData(shape=dict(dim=[1, 2]))
    layer = (
        L.BinaryInnerProduct(
            data,
            param=[dict(lr_mult=1), dict(lr_mult=2)],
            include=dict(phase=caffe.TEST),
            loss_weight=2,
            inner_product_param=dict(num_output=3),
            binary_inner_product_param=dict(use_alpha=True),
        )
        .to_proto()
        .layer[1]
    )
    assert [p.lr_mult for p in layer.param] == [1, 2]
    assert layer.include[0].phase == caffe.TEST
    assert list(layer.loss_weight) == [2]
    assert layer.inner_product_param.num_output == 3
    assert layer.binary_inner_product_param.use_alpha


def test_mistakes_are_told():
    data = L.DummyData(shape=dict(dim=[1]))
    with pytest.raises(ValueError, match="num_outputs"):
        L.Convolution(data, num_outputs=3).to_proto()
    with pytest.raises(TypeError, match=r"^ReLU input 0 is not a Top \(type is <class 'str'>\)$"):
        L.ReLU("data")
    with pytest.raises(ValueError, match="no field 'dims'"):
        L.DummyData(shape=dict(dims=[1])).to_proto()
    with pytest.raises(AttributeError):
        P.Pooling.MIDDLE  # noqa: B018


def test_names_of_parameters_by_type():
    names = param_name_dict()
    assert names["Convolution"] == "convolution"
    assert names["Pooling"] == "pooling"
    assert names["Quant"] == "quant"
    assert "ParamSpec" not in names


def test_assign_proto_sets_nested_fields():
    layer = caffe_pb2.LayerParameter()
    assign_proto(
        layer, "convolution_param", dict(num_output=3, kernel_size=[3, 5], weight_filler=dict(std=2))
    )
    assign_proto(layer, "top", "one")
    assert layer.convolution_param.num_output == 3
    assert list(layer.convolution_param.kernel_size) == [3, 5]
    assert layer.convolution_param.weight_filler.std == 2
    assert list(layer.top) == ["one"]

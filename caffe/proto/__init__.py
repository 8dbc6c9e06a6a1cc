"""The messages that Caffe's files are made of; `caffe.proto` in the sources says what each field means."""

try:
    from . import caffe_pb2
except ImportError as error:
    if error.name != __name__:  # something that caffe_pb2 itself needs
        raise
    raise ImportError("caffe/proto/caffe_pb2.py is made by the build: run 'make pycaffe'") from error

__all__ = ["caffe_pb2"]

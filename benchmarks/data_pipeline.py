#!/usr/bin/env python3
"""Whether data keep up with training on the CPU.

    .venv/bin/python -m pip install torch pillow      # optional: the peer
    .venv/bin/python benchmarks/data_pipeline.py --root photographs/ --list photographs/list.txt

First the images a second that a Data layer reads from an LMDB of 256 x 256 JPEG, decodes, crops at random,
mirrors by chance and subtracts the mean from, beside a PyTorch DataLoader that does the same to JPEG files,
on one core and on all (data_sources.py has more sources). Then nets of the zoo train from that LMDB, and with
images that lie in memory: the difference is what training waits for data, and what reading them takes of the
same cores.
"""

import statistics
import tempfile
import time

import data_sources
from peers import training

SOURCE = "Data, LMDB of JPEG"


def database_layer(folder, name):
    from caffe.proto import caffe_pb2

    setting = training.NETS[name]
    data = caffe_pb2.LayerParameter(name="data", type="Data", top=["data", "label"])
    data.data_param.source = f"{folder}/encoded_lmdb"
    data.data_param.backend = caffe_pb2.DataParameter.LMDB
    data.data_param.batch_size = setting.batch
    data.transform_param.crop_size = setting.image[1]
    data.transform_param.mirror = True
    data.transform_param.mean_value.extend(data_sources.MEAN)
    return data


def train(name, folder, arguments):
    """Images a second of training with images in memory and from the database, the rounds in turn."""
    layers = (None, database_layer(folder, name))
    solvers = [training.make_solver(name, training.NETS[name].batch, data=layer) for layer in layers]
    for solver in solvers:
        solver.net.reuses_memory = True
        solver.step(2)
    speeds = [[], []]
    for _ in range(arguments.rounds):
        for solver, found in zip(solvers, speeds, strict=True):
            start = time.perf_counter()
            solver.step(arguments.iterations)
            seconds = time.perf_counter() - start
            found.append(training.NETS[name].batch * arguments.iterations / seconds)
    return [statistics.median(found) for found in speeds]


def main():
    import caffe

    parser = data_sources.make_parser(__doc__)
    nets = ["AlexNet-HWGQ", "ResNet-18-HWGQ"]
    parser.add_argument("--nets", nargs="*", default=nets, choices=nets)
    parser.add_argument("--iterations", type=int, default=3, help="timed, of each training in a round")
    arguments = parser.parse_args()
    if not arguments.list:
        parser.error("--list names the photographs")

    with tempfile.TemporaryDirectory() as folder:
        data_sources.prepare(arguments, folder)
        served = data_sources.serve([SOURCE, data_sources.PEER], folder, arguments)
        print("|  | threads | images/s | for each thread |\n| --- | ---: | ---: | ---: |")
        for (name, threads), speed in served.items():
            print(f"| {name} | {threads} | {speed:,.0f} | {speed / threads:,.0f} |")
        for threads in sorted({threads for _, threads in served}):
            if (data_sources.PEER, threads) in served:
                ratio = served[SOURCE, threads] / served[data_sources.PEER, threads]
                print(f"\n{threads} thread(s): {ratio:.2f} x the DataLoader")
        caffe.set_mode_cpu()
        caffe.init_log(2)
        print(f"\n| trained by {arguments.threads} thread(s) | from memory, images/s | from the database |")
        print("| --- | ---: | ---: |")
        for name in arguments.nets:
            from_memory, from_database = train(name, folder, arguments)
            print(f"| {name} | {from_memory:,.1f} | {from_database:,.1f} |")


if __name__ == "__main__":
    main()

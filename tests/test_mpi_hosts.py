"""Training on several machines: network namespaces of this one, with addresses and names of their own."""

import os
import shutil
import subprocess
import uuid

import pytest
from mpi_runner import (
    SABOTEUR_LAYER,
    fails_together,
    fill,
    mpi_environment,
    needs_mpi,
    weights,
    write_solver,
)
from test_parallel import expect_close
from tool_runner import command, run

from caffe import _caffe

pytestmark = needs_mpi

NETWORK = "10.213.77"

# What mpirun starts a program on another machine by: AGENT ADDRESS COMMAND...
AGENT = """#!/bin/sh
name={prefix}${{1##*.}}
shift
exec ip netns exec "$name" unshare --uts sh -c 'hostname "$0"; eval "exec $*"' "$name" "$@"
"""


class Hosts:
    """Machines of the addresses .1, .2 and so on, in one network; programs start on the first."""

    def __init__(self, number, folder):
        self.prefix = f"h{uuid.uuid4().hex[:6]}-"
        self.number = number
        self._agent = folder / "agent"
        self._agent.write_text(AGENT.format(prefix=self.prefix))
        self._agent.chmod(0o755)
        self._made = []

    def __enter__(self):
        bridge = self._name(0)
        try:
            self._add(bridge)
            self._in(0, f"ip link add {bridge} type bridge", f"ip link set {bridge} up")
            for host in range(1, self.number + 1):
                self._add(self._name(host))
                link = f"v{host}"
                self._in(0, f"ip link add {link} type veth peer name eth0 netns {self._name(host)}")
                self._in(0, f"ip link set {link} master {bridge} up")
                self._in(host, f"ip address add {NETWORK}.{host}/24 dev eth0")
                self._in(host, "ip link set lo up", "ip link set eth0 up")
        except subprocess.CalledProcessError as error:
            self.__exit__()
            pytest.skip(f"network namespaces are not to be had here: {error.stderr.strip()}")
        return self

    def __exit__(self, *error):
        for name in self._made:
            subprocess.run(["ip", "netns", "del", name], check=False)

    def mpirun(self, folder, processes_of_each, program, **variables):
        """Runs a program with so many processes on each machine."""
        settings = {
            "OMPI_MCA_plm": "rsh",
            "OMPI_MCA_plm_rsh_agent": str(self._agent),
            "OMPI_MCA_oob_tcp_if_include": f"{NETWORK}.0/24",
            "OMPI_MCA_btl_tcp_if_include": f"{NETWORK}.0/24",
        }
        environment = mpi_environment(folder, **settings, **variables)
        addresses = ",".join(f"{NETWORK}.{host}:{processes_of_each}" for host in range(1, self.number + 1))
        passed_on = [*variables, "PYTHONPATH", "OMP_NUM_THREADS", "GLOG_minloglevel"]
        return subprocess.run(
            [self._agent, f"{NETWORK}.1", "mpirun", "-H", addresses, "--map-by", "node"]
            + [word for name in passed_on for word in ("-x", name)]
            + [str(word) for word in program],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def _name(self, host):
        return f"{self.prefix}{host}"

    def _add(self, name):
        subprocess.run(["ip", "netns", "add", name], check=True, capture_output=True, text=True)
        self._made.append(name)

    def _in(self, host, *commands):
        for line in commands:
            subprocess.run(
                ["ip", "netns", "exec", self._name(host), *line.split()],
                check=True,
                capture_output=True,
                text=True,
            )


@pytest.fixture
def folder(tmp_path):
    return fill(tmp_path)


@pytest.fixture
def hosts(tmp_path):
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces take root and ip (iproute2)")
    with Hosts(2, tmp_path) as made:
        yield made


def test_machines_train_as_one_with_the_whole_batch(folder, hosts):
    text = "momentum: 0.9"
    run("train", "-solver", write_solver(folder, 16, text), cwd=folder)
    done = hosts.mpirun(folder, 2, command("train", "-solver", write_solver(folder, 4, text)))
    assert done.returncode == 0, done.stderr
    assert "4 processes on 2 machines train together" in done.stderr
    expect_close(
        weights(folder, "batch4_iter_8.caffemodel", 4), weights(folder, "batch16_iter_8.caffemodel", 4)
    )


def test_an_error_on_one_machine_ends_all(folder, hosts):
    with _caffe.Database(folder / "db", "write") as database:
        database.put("029", b"no datum")  # of the second process, in the fourth batch
        database.commit()
    done = hosts.mpirun(folder, 1, command("train", "-solver", write_solver(folder, 4)))
    fails_together(done, f"rank 1 ({hosts.prefix}2)", "record '029'")


def test_a_process_killed_on_one_machine_ends_all(folder, hosts):
    solver = write_solver(folder, 4, "max_iter: 1000000 snapshot: 2", more=SABOTEUR_LAYER)
    done = hosts.mpirun(folder, 2, command("train", "-solver", solver), PASS="7", RANK="3", DEED="SIGKILL")
    assert done.returncode != 0
    assert "rank 3" in done.stderr
    assert (folder / "batch4_iter_6.solverstate").exists()

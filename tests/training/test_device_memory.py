"""What a process may hold, as a system says it in its files."""

import os

import pytest

from magenta_vae.training import device_memory

MB = 2**20
PAGE = os.sysconf("SC_PAGE_SIZE")
OWN = 50 * MB // PAGE * PAGE


def write(root, files):
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


@pytest.fixture
def root(tmp_path):
    """A system with 1,000 MB free, of which this process holds 50 MB more."""
    kilobytes = 1000 * 1024
    write(
        tmp_path,
        {
            "proc/meminfo": f"MemTotal: 9999999 kB\nMemAvailable:  {kilobytes} kB\n",
            "proc/self/statm": f"900000 {OWN // PAGE} 100 1 0 1 0\n",
        },
    )
    return tmp_path


def group(limit, usage, cache, names):
    return dict(zip(names[:2], (limit, usage), strict=True)) | {
        "memory.stat": f"anon 12\n{names[2]} {cache}\n"
    }


def add_group(root, path, files):
    write(root, {f"{path}/{name}": str(text) for name, text in files.items()})


def test_what_is_free_and_what_the_process_holds_is_its_own(root):
    assert device_memory.find_limit(False, root) == 1000 * MB + OWN
    assert device_memory.find_own(root) == OWN


def test_the_limit_of_a_container_is_heeded_without_its_cache_of_files(root):
    write(root, {"proc/self/cgroup": "0::/docker/me\n"})
    files = group(600 * MB, 500 * MB, 200 * MB, device_memory.V2)
    add_group(root, "sys/fs/cgroup/docker/me", files)
    assert device_memory.find_limit(False, root) == 300 * MB + OWN


def test_a_limit_of_a_group_above_is_one_too(root):
    write(root, {"proc/self/cgroup": "0::/docker/me\n"})
    add_group(root, "sys/fs/cgroup/docker/me", group("max", 500 * MB, 0, device_memory.V2))
    add_group(root, "sys/fs/cgroup/docker", group(700 * MB, 600 * MB, 0, device_memory.V2))
    assert device_memory.find_limit(False, root) == 100 * MB + OWN


def test_within_a_container_its_own_group_may_be_the_top(root):
    write(root, {"proc/self/cgroup": "0::/not/seen/from/within\n"})
    add_group(root, "sys/fs/cgroup", group(800 * MB, 600 * MB, 0, device_memory.V2))
    assert device_memory.find_limit(False, root) == 200 * MB + OWN


@pytest.mark.parametrize(("limit", "free"), [(900 * MB, 400), (2**63 - 4096, 1000)])
def test_groups_of_the_first_version(root, limit, free):
    write(root, {"proc/self/cgroup": "5:cpu:/x\n4:memory:/mine\n0::/\n"})
    files = group(limit, 600 * MB, 100 * MB, device_memory.V1)
    add_group(root, "sys/fs/cgroup/memory/mine", files)
    assert device_memory.find_limit(False, root) == free * MB + OWN


def test_more_held_than_a_limit_leaves_nothing_free(root):
    write(root, {"proc/self/cgroup": "0::/\n"})
    add_group(root, "sys/fs/cgroup", group(500 * MB, 600 * MB, 0, device_memory.V2))
    assert device_memory.find_limit(False, root) == OWN


def test_where_the_system_does_not_tell_what_is_free_it_is_all(tmp_path):
    total = PAGE * os.sysconf("SC_PHYS_PAGES")
    assert device_memory.find_limit(False, tmp_path) == total
    assert 0 < device_memory.find_own(tmp_path) <= total


def test_of_several_gpus_the_least_counts(monkeypatch):
    monkeypatch.setattr(device_memory.private_apis, "gpu_memory_limits", lambda: [9 * MB, 7 * MB])
    assert device_memory.find_limit(True) == 7 * MB


def test_a_process_has_held_what_it_holds():
    assert device_memory.find_peak(False) >= 0.9 * device_memory.find_own() > 10 * MB

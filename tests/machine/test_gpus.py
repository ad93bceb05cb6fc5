"""GPUs: cards, shared memory, and all the ways in which their tools break."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from setup_manager.machine.facts import FindingKind, Gpu, Machine, Memory, MemoryUser, Vendor
from setup_manager.machine.probe import apple, nvidia, windows
from setup_manager.machine.probe.drm import intel_share, parse_resource
from setup_manager.machine.probe.gpu_users import Handle, parse_handle
from setup_manager.machine.probe.machine import order_gpus
from setup_manager.machine.probe.rocm import parse_cards
from setup_manager.machine.probe.system import LocalCommands, System
from setup_manager.machine.probe.vulkan import parse_summary
from setup_manager.machine.probe.windows import gpu_from_registry
from setup_manager.machine.vendor import VendorFigure, gpu_bandwidth, vendor_figures
from setup_manager.platforms import this_platform
from tests.machine import recorded

MIB = 1024**2
GIB = 1024**3
MEMORY = Memory(32 * GIB, None, 20 * GIB, "test")


def read(
    folder: Path,
    files: Mapping[str, str] | None = None,
    commands: Sequence[Mapping[str, Any]] = (),
    os: str = "linux",
) -> Machine:
    meminfo = {"/proc/meminfo": f"MemTotal: {32 * MIB} kB\nMemAvailable: {20 * MIB} kB\n"}
    recording = {
        "files": {**meminfo, **(files or {})},
        "commands": list(commands),
        "os": os,
        "arch": "x86_64",
        "version": "",
    }
    return recorded.read(recording, folder)


def smi(text: str, **more: Any) -> dict[str, Any]:
    return {"run": "nvidia-smi --query-gpu", "stdout": text, **more}


# --- NVIDIA ----------------------------------------------------------------------------------


def test_columns_are_found_by_name_in_any_order() -> None:
    (row,) = nvidia.parse_gpus(
        "memory.free [MiB], driver_version, name, memory.total [MiB]\n"
        "1000 MiB, 570.1, NVIDIA GeForce RTX 4090, 24564 MiB\n"
    )
    assert (row.name, row.driver) == ("NVIDIA GeForce RTX 4090", "570.1")
    assert (row.total_bytes, row.free_bytes) == (24564 * MIB, 1000 * MIB)


def test_bare_numbers_take_the_unit_of_their_column() -> None:
    (row,) = nvidia.parse_gpus("name, memory.total [MiB], memory.used [MiB]\nX, 100, 40\n")
    assert (row.total_bytes, row.free_bytes) == (100 * MIB, 60 * MIB)


def test_warnings_before_the_answer_are_skipped() -> None:
    text = "WARNING: infoROM is corrupted at gpu, really\nname, memory.total [MiB]\nX, 5 MiB\n"
    assert [row.name for row in nvidia.parse_gpus(text)] == ["X"]


def test_cards_of_two_sizes_are_never_added_up(tmp_path: Path) -> None:
    text = (
        "name, memory.total [MiB], memory.free [MiB]\nA, 8192 MiB, 100 MiB\nB, 4096 MiB, 4000 MiB"
    )
    found = read(tmp_path, commands=[smi(text)]).gpus
    assert [(gpu.name, gpu.free_bytes // MIB) for gpu in found] == [("B", 4000), ("A", 100)]


def test_answer_that_crashes_after_its_rows_still_counts(tmp_path: Path) -> None:
    text = "name, memory.total [MiB], memory.free [MiB]\nA, 8192 MiB, 100 MiB\n"
    found = read(tmp_path, commands=[smi(text, returncode=-11)])
    assert [gpu.name for gpu in found.gpus] == ["A"]


def test_old_driver_is_asked_without_the_field_that_it_does_not_know(tmp_path: Path) -> None:
    refused = 'Field "mig.mode.current" is not a valid field to query.\n'
    rows = "name, memory.total [MiB], memory.free [MiB]\nTesla K80, 11441 MiB, 11400 MiB\n"
    commands: list[dict[str, Any]] = [
        {"run": " ".join(nvidia.QUERY), "stdout": refused, "returncode": 2},
        {"run": " ".join(nvidia.OLD_QUERY), "stdout": rows},
    ]
    assert [gpu.name for gpu in read(tmp_path, commands=commands).gpus] == ["Tesla K80"]


def test_programs_that_hold_its_memory_are_named(tmp_path: Path) -> None:
    commands = [
        smi("uuid, name, memory.total [MiB], memory.free [MiB]\nGPU-1, A, 8192 MiB, 100 MiB\n"),
        {
            "run": "nvidia-smi --query-compute-apps",
            "stdout": "gpu_uuid, process_name, used_gpu_memory [MiB]\n"
            "GPU-1, /usr/bin/ollama, 5000 MiB\nGPU-1, /usr/bin/ollama, 1000 MiB\n"
            "GPU-1, C:\\Games\\game.exe, 900 MiB\nGPU-2, /usr/bin/other, 900 MiB\n"
            "GPU-1, [Insufficient Permissions], [N/A]\n",
        },
    ]
    (gpu,) = read(tmp_path, commands=commands).gpus
    assert gpu.users == (
        MemoryUser("ollama", 6000 * MIB, 2),
        MemoryUser("game.exe", 900 * MIB, 1),
    )


def test_memory_that_may_not_be_seen_is_broken_and_not_unified(tmp_path: Path) -> None:
    text = "name, memory.total [MiB]\nNVIDIA A100-SXM4-40GB, [Insufficient Permissions]\n"
    found = read(tmp_path, commands=[smi(text)])
    assert found.gpus == ()
    broken = [f for f in found.findings if f.kind is FindingKind.BROKEN]
    assert [finding.probe for finding in broken] == ["nvidia-smi"]


@pytest.mark.parametrize("trouble", ["GPU is lost", "Unknown Error", "GPU requires reset"])
def test_lost_card_is_broken_and_not_unified(tmp_path: Path, trouble: str) -> None:
    text = f"name, memory.total [MiB]\nNVIDIA GeForce RTX 3090, [{trouble}]\n"
    found = read(tmp_path, commands=[smi(text)])
    assert found.gpus == ()
    assert trouble in next(f for f in found.findings if f.probe == "nvidia-smi").detail


def test_mig_instances_belong_to_their_gpu_and_know_their_users(tmp_path: Path) -> None:
    commands = [
        smi(
            "uuid, name, memory.total [MiB], mig.mode.current\n"
            "GPU-1, NVIDIA A100-SXM4-40GB, 40960 MiB, Enabled\n"
            "GPU-2, NVIDIA H100 PCIe, 81559 MiB, Enabled\n"
            "GPU-3, NVIDIA L4, 23034 MiB, [N/A]\n"
        ),
        {
            "run": "nvidia-smi -L",
            "stdout": "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-1)\n"
            "  MIG 3g.20gb     Device  0: (UUID: MIG-a)\n"
            "GPU 1: NVIDIA H100 PCIe (UUID: GPU-2)\n"
            "  MIG 1g.10gb+me  Device  0: (UUID: MIG-b)\n"
            "GPU 2: NVIDIA L4 (UUID: GPU-3)\n",
        },
        {
            "run": "nvidia-smi --query-compute-apps",
            "stdout": "gpu_uuid, process_name, used_gpu_memory [MiB]\nMIG-a, python, 4096 MiB\n",
        },
    ]
    found = {gpu.name: gpu for gpu in read(tmp_path, commands=commands).gpus}
    assert set(found) == {
        "NVIDIA A100-SXM4-40GB MIG 3g.20gb",
        "NVIDIA H100 PCIe MIG 1g.10gb+me",
        "NVIDIA L4",
    }
    cut = found["NVIDIA A100-SXM4-40GB MIG 3g.20gb"]
    assert cut.free_bytes == cut.total_bytes - 4096 * MIB
    assert cut.users == (MemoryUser("python", 4096 * MIB, 1),)


def test_mig_without_an_instance_says_how_to_make_one(tmp_path: Path) -> None:
    commands = [
        smi("name, memory.total [MiB], mig.mode.current\nNVIDIA A100, 40960 MiB, Enabled\n"),
        {"run": "nvidia-smi -L", "stdout": "GPU 0: NVIDIA A100 (UUID: GPU-1)\n"},
    ]
    found = read(tmp_path, commands=commands)
    assert found.gpus == ()
    assert "mig -cgi" in next(f for f in found.findings if f.probe == "nvidia-smi").hint


def test_no_tool_and_no_card_is_not_found(tmp_path: Path) -> None:
    finding = next(f for f in read(tmp_path).findings if f.probe == "nvidia-smi")
    assert (finding.kind, finding.hint) == (FindingKind.NOT_FOUND, "")


def test_no_tool_but_a_card_is_broken(tmp_path: Path) -> None:
    bus = "/sys/bus/pci/devices/0000:01:00.0"
    found = read(tmp_path, {f"{bus}/class": "0x030000\n", f"{bus}/vendor": "0x10de\n"})
    finding = next(f for f in found.findings if f.probe == "nvidia-smi")
    assert finding.kind is FindingKind.BROKEN
    assert "install the NVIDIA driver" in finding.hint


def test_sound_chip_of_a_card_is_no_card(tmp_path: Path) -> None:
    bus = "/sys/bus/pci/devices/0000:01:00.1"
    found = read(tmp_path, {f"{bus}/class": "0x040300\n", f"{bus}/vendor": "0x10de\n"})
    finding = next(f for f in found.findings if f.probe == "nvidia-smi")
    assert finding.kind is FindingKind.NOT_FOUND


@pytest.mark.parametrize(
    ("complaint", "advice"),
    [
        ("Failed to initialize NVML: Driver/library version mismatch", "restart"),
        ("No devices were found", "dmesg"),
        ("Unable to determine the device handle for GPU: GPU is lost.", "power cables"),
        ("Failed to initialize NVML: Unknown Error", "--gpus all"),
        ("something new", "reinstall"),
    ],
)
def test_advice_fits_the_complaint(complaint: str, advice: str) -> None:
    assert advice in nvidia.advise(complaint)


@pytest.mark.parametrize("text", ["[N/A]", "[Not Supported]", "", "-5 MiB", "9e9 MiB", "5 parsecs"])
def test_no_amount(text: str) -> None:
    assert not nvidia.parse_amount(text)


# --- AMD and Intel ---------------------------------------------------------------------------


def amd_card(name: str = "card0", **files: str) -> dict[str, str]:
    folder = f"/sys/class/drm/{name}/device"
    return {f"{folder}/vendor": "0x1002\n"} | {f"{folder}/{key}": v for key, v in files.items()}


def test_large_carve_out_is_memory_of_its_own(tmp_path: Path) -> None:
    files = amd_card(
        device="0x1586", mem_info_vram_total=str(96 * GIB), mem_info_gtt_total=str(15 * GIB)
    )
    (gpu,) = read(tmp_path, files).gpus
    assert (gpu.integrated, gpu.unified, gpu.total_bytes) == (True, False, 96 * GIB)


def test_lent_memory_is_bounded_by_what_main_memory_has_left(tmp_path: Path) -> None:
    files = amd_card(
        device="0x15bf", mem_info_vram_total=str(GIB // 2), mem_info_gtt_total=str(30 * GIB)
    )
    (gpu,) = read(tmp_path, files).gpus
    assert (gpu.unified, gpu.free_bytes) == (True, 20 * GIB)


def test_metrics_header_tells_an_unknown_apu_from_a_card(tmp_path: Path) -> None:
    sizes = {"mem_info_vram_total": str(GIB // 2), "mem_info_gtt_total": str(8 * GIB)}
    apu = amd_card(device="0xffff", gpu_metrics="\x7f\x00\x02\x02", **sizes)
    card = amd_card(device="0xffff", gpu_metrics="\x70\x00\x01\x03", **sizes)
    assert read(tmp_path / "a", apu).gpus[0].integrated
    assert not read(tmp_path / "b", card).gpus[0].integrated


def test_vulkan_names_the_gpu_and_says_what_it_is(tmp_path: Path) -> None:
    summary = (
        "Devices:\n========\nGPU0:\n\tapiVersion         = 1.3.260\n\tvendorID           = 0x1002\n"
        "\tdeviceID           = 0x73ff\n\tdeviceType         = PHYSICAL_DEVICE_TYPE_DISCRETE_GPU\n"
        "\tdeviceName         = AMD Radeon RX 6600 XT\n\tdriverName         = radv\n"
        "\tdriverInfo         = Mesa 24.3.2\n"
        "GPU1:\n\tvendorID = 0x10005\n\tdeviceType = PHYSICAL_DEVICE_TYPE_CPU\n"
        "\tdeviceName = llvmpipe (LLVM 21.1.8, 256 bits)\n"
    )
    assert [device.name for device in parse_summary(summary)] == ["AMD Radeon RX 6600 XT"]
    files = amd_card(device="0x73ff", mem_info_vram_total=str(8 * GIB))
    (gpu,) = read(tmp_path, files, [{"run": "vulkaninfo", "stdout": summary}]).gpus
    assert (gpu.name, gpu.driver) == ("AMD Radeon RX 6600 XT", "radv Mesa 24.3.2")
    assert gpu.bandwidth_bytes_per_second == 256e9


def test_connectors_are_no_cards(tmp_path: Path) -> None:
    files = amd_card(mem_info_vram_total=str(8 * GIB))
    files |= amd_card("card0-HDMI-A-1", mem_info_vram_total=str(8 * GIB))
    assert len(read(tmp_path, files).gpus) == 1


def test_integrated_intel_shares_main_memory(tmp_path: Path) -> None:
    folder = "/sys/class/drm/card0/device"
    (gpu,) = read(tmp_path, {f"{folder}/vendor": "0x8086", f"{folder}/device": "0x46a6"}).gpus
    assert (gpu.vendor, gpu.integrated, gpu.unified) == (Vendor.INTEL, True, True)
    assert (gpu.total_bytes, gpu.free_bytes) == (24 * GIB, 20 * GIB)
    assert intel_share(4 * GIB) == 2 * GIB


def test_intel_card_has_what_its_memory_region_shows(tmp_path: Path) -> None:
    folder = "/sys/class/drm/card0/device"
    lines = [
        "0x0000000080000000 0x0000000080ffffff 0x0000000000140204",
        "0x0000000000000000 0x0000000000000000 0x0000000000000000",
        f"0x0000004000000000 0x{0x4000000000 + 16 * GIB - 1:016x} 0x000000000014220c",
    ]
    files = {
        f"{folder}/vendor": "0x8086",
        f"{folder}/device": "0x56a0",
        f"{folder}/resource": "\n".join(lines),
    }
    (gpu,) = read(tmp_path, files).gpus
    assert (gpu.total_bytes, gpu.unified, gpu.integrated) == (16 * GIB, False, False)
    assert parse_resource("rubbish") is None


HANDLE = (
    "pos:\t0\nflags:\t02100002\nmnt_id:\t26\nino:\t1283\ndrm-driver:\tamdgpu\n"
    "drm-client-id:\t{client}\ndrm-pdev:\t0000:03:00.0\npasid:\t32771\n"
    "drm-memory-vram:\t{kib} KiB\ndrm-memory-gtt: \t24568 KiB\ndrm-memory-cpu: \t0 KiB\n"
)


def test_programs_that_hold_an_amd_card_are_named_and_counted_once(tmp_path: Path) -> None:
    files = amd_card(mem_info_vram_total=str(8 * GIB), mem_info_vram_used=str(7 * GIB))
    files["/sys/class/drm/card0/device/uevent"] = "DRIVER=amdgpu\nPCI_SLOT_NAME=0000:03:00.0\n"
    handles = [("5", "7", 39, 4194304), ("5", "9", 39, 4194304), ("5", "11", 40, 1048576)]
    for pid, number, client, kib in handles:
        files[f"/proc/{pid}/fdinfo/{number}"] = HANDLE.format(client=client, kib=kib)
        files[f"/proc/{pid}/comm"] = "game\n"
        link = tmp_path / f"proc/{pid}/fd/{number}"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to("/dev/dri/renderD128")
    other = tmp_path / "proc/5/fd/12"
    other.symlink_to("/dev/null")
    (gpu,) = read(tmp_path, files).gpus
    assert gpu.users == (MemoryUser("game", 5 * GIB, 1),)


def test_handle_of_anything_else_is_none() -> None:
    assert parse_handle("pos:\t0\nflags:\t02\n") is None
    assert parse_handle("drm-pdev: x\ndrm-client-id: 1\n") is None


def test_intel_names_its_own_memory_local() -> None:
    handle = parse_handle(
        "drm-driver:\ti915\ndrm-client-id:\t8\ndrm-pdev:\t0000:03:00.0\n"
        "drm-total-local0:\t900 MiB\ndrm-resident-local0:\t512 MiB\ndrm-resident-system0:\t1 MiB\n"
    )
    assert handle == Handle("0000:03:00.0", 8, 512 * MIB)


def test_rocm_smi_of_either_spelling_is_read() -> None:
    cards = {
        "card0": {"Card series": "A", "Card model": "0x744c", "VRAM Total Memory (B)": "10"},
        "card1": {
            "Card Series": "B",
            "GTT Total Memory (B)": "7",
            "GTT Total Used Memory (B)": "2",
        },
        "system": {"Driver version": "6.7"},
    }
    first, second = parse_cards("WARNING: low-power state\n" + json.dumps(cards))
    assert (first.name, first.device_id, first.vram_bytes) == ("A", 0x744C, 10)
    assert (second.name, second.lent_bytes, second.lent_used_bytes) == ("B", 7, 2)


# --- Apple and Windows -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("total_gib", "limit_mb", "gpu_gib"),
    [(16, 0, 10.667), (32, 0, 21.333), (96, 0, 72), (64, 57344, 56), (16, 99999, 16)],
)
def test_wired_limit(total_gib: int, limit_mb: int, gpu_gib: float) -> None:
    # recommendedMaxWorkingSetSize: 10922.67 MB of 16 GB (abetlen/llama-cpp-python, issue 687),
    # 21845.34 of 32 (ollama/ollama, issue 434), 73728.00 of 96 (ggml-org/llama.cpp, issue 3213).
    limit = apple.wired_limit_bytes(total_gib * GIB, limit_mb)
    assert limit / GIB == pytest.approx(gpu_gib, abs=0.001)


def test_graphics_card_of_an_intel_mac_is_no_unified_memory(tmp_path: Path) -> None:
    displays = {
        "SPDisplaysDataType": [
            {"_name": "Radeon Pro 5500M", "sppci_model": "AMD Radeon Pro 5500M",
             "spdisplays_vram": "8 GB", "sppci_bus": "spdisplays_pcie_device"},
        ]
    }  # fmt: skip
    commands = [{"run": "system_profiler", "stdout": json.dumps(displays)}]
    (gpu,) = read(tmp_path, commands=commands, os="macos").gpus
    assert (gpu.vendor, gpu.total_bytes, gpu.unified) == (Vendor.AMD, 8 * GIB, False)


def test_memory_of_a_mac_leaves_out_what_must_be_compressed() -> None:
    vm_stat = apple.parse_vm_stat(
        "Mach Virtual Memory Statistics: (page size of 16384 bytes)\n"
        "Pages free: 10.\nPages inactive: 500.\nPages speculative: 4.\nPages purgeable: 3.\n"
        "File-backed pages: 104.\n"
    )
    assert apple.available_bytes(vm_stat) == (10 + 4 + 3 + 100) * 16384


def test_helpers_of_a_mac_app_count_as_the_app() -> None:
    text = (
        " 1000 /Applications/Google Chrome.app/Contents/MacOS/Google Chrome\n"
        "2000 /Applications/Google Chrome.app/Contents/Frameworks/Helper.app/MacOS/Helper\n"
        "x y\n 5 /sbin/launchd\n"
    )
    assert apple.parse_processes(text) == [
        ("Google Chrome", 1000 * 1024),
        ("Google Chrome", 2000 * 1024),
        ("launchd", 5 * 1024),
    ]


def test_swap_of_a_mac() -> None:
    text = "total = 2048.00M  used = 1470.06M  free = 577.94M  (encrypted)"
    assert apple.parse_swap_usage(text) == (2048 * MIB, int(577.94 * MIB))


def test_battery_of_a_mac() -> None:
    mains = "Now drawing from 'AC Power'\n -InternalBattery-0 (id=1)\t100%; charged; 0:00\n"
    assert apple.parse_battery(mains) == (False, 100.0)
    battery = "Now drawing from 'Battery Power'\n -InternalBattery-0\t61%; discharging; 3:01\n"
    assert apple.parse_battery(battery) == (True, 61.0)
    assert apple.parse_battery("Now drawing from 'AC Power'\n") == (None, None)


def test_windows_tells_a_carve_out_from_what_it_lends() -> None:
    card = gpu_from_registry("AMD Radeon RX 7900 XT", 20 * GIB, MEMORY)
    assert card is not None
    assert (card.unified, card.total_bytes) == (False, 20 * GIB)
    shared = gpu_from_registry("AMD Radeon(TM) 780M", GIB // 2, MEMORY)
    assert shared is not None
    assert (shared.unified, shared.total_bytes, shared.free_bytes) == (True, 16 * GIB, 16 * GIB)
    assert gpu_from_registry("NVIDIA GeForce RTX 4090", 24 * GIB, MEMORY) is None
    assert gpu_from_registry("Microsoft Basic Display Adapter", 0, MEMORY) is None


def test_psutil_speaks_for_windows_and_agrees_with_this_machine() -> None:
    here = System(Path("/"), LocalCommands(), this_platform())
    found = windows.read_memory(here)
    assert 0 < found.available_bytes <= found.total_bytes
    assert found.source == "psutil virtual_memory"
    processor = windows.read_processor(here)
    assert 1 <= processor.physical_cores <= processor.logical_cores
    assert windows.read_power(here).on_battery in (None, True, False)
    assert windows.read_gpus(here, found) == () or here.platform.os == "windows"


# --- vendor figures --------------------------------------------------------------------------


def test_cards_come_first_and_the_freest_of_them_in_front() -> None:
    def gpu(name: str, free: int, integrated: bool) -> Gpu:
        return Gpu(
            Vendor.OTHER, name, 100, free, unified=integrated, driver="", source="",
            integrated=integrated,
        )  # fmt: skip

    found = order_gpus((gpu("shared", 90, True), gpu("a", 10, False), gpu("b", 20, False)))
    assert [entry.name for entry in found] == ["b", "a", "shared"]


@pytest.mark.parametrize(
    ("name", "total_gib", "gb_per_second"),
    [
        ("NVIDIA GeForce RTX 4060 Ti", 16, 288),
        ("NVIDIA GeForce RTX 4060", 8, 272),
        ("NVIDIA GeForce RTX 4070 Ti SUPER", 16, 672),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", 16, 576),
        ("NVIDIA GeForce RTX 3080", 10, 760),
        ("NVIDIA GeForce RTX 3080", 12, 912),
        ("NVIDIA A100-SXM4-80GB", 80, 2039),
        ("NVIDIA H100 80GB HBM3", 80, 3350),
        ("AMD Radeon RX 7900 XTX (RADV NAVI31)", 24, 960),
        ("AMD Radeon 8060S Graphics (RADV GFX1151)", 96, 256),
        ("Apple M3 Max (40 GPU cores)", 96, 400),
        ("Apple M3 Max (30 GPU cores)", 27, 300),
        ("Apple M4 Pro (20 GPU cores)", 36, 273),
        ("Intel(R) Arc(TM) B580 Graphics (BMG G21)", 12, 456),
    ],
)
def test_vendor_figures(name: str, total_gib: int, gb_per_second: float) -> None:
    assert gpu_bandwidth(name, total_gib * GIB) == pytest.approx(gb_per_second * 1e9)


@pytest.mark.parametrize(
    "name",
    ["NVIDIA GeForce RTX 3080 Laptop GPU", "NVIDIA GeForce GTX 1080 with Max-Q Design",
     "NVIDIA A100-SXM4-80GB MIG 1g.10gb", "NVIDIA GeForce RTX 40900", "", "Radeon"],
)  # fmt: skip
def test_other_products_borrow_no_figure(name: str) -> None:
    assert gpu_bandwidth(name, 16 * GIB) is None


def test_every_line_of_the_table_is_plausible_and_found_by_its_own_name() -> None:
    figures = vendor_figures()
    assert len(figures) > 100
    for figure in figures:
        assert 50e9 < figure.bytes_per_second < 10e12
        cores = f" ({figure.cores} GPU cores)" if figure.cores else ""
        total = (figure.total_gb or 1) * GIB
        assert gpu_bandwidth(figure.chip + cores, total) == figure.bytes_per_second


def test_own_table_may_be_given() -> None:
    assert gpu_bandwidth("My Chip 3", 1, [VendorFigure("Chip 3", 5.0)]) == 5.0

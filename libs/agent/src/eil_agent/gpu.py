"""Board power of NVIDIA GPUs through the driver's management library (NVML)."""

from types import ModuleType

import pynvml

from eil_agent.power import Method, PowerUnavailableError

# Accuracy that NVIDIA states for the board power reading.
RELATIVE_UNCERTAINTY = 0.05


class Gpus:
    """Power and temperature of all GPU boards the driver shows.

    The energy counters are used where every board has one (Volta and later); otherwise the power sensors are read at
    the instant of the call.
    """

    scope = "gpu"
    relative_uncertainty = RELATIVE_UNCERTAINTY

    def __init__(self, now_s: float, nvml: ModuleType = pynvml) -> None:
        """Opens the boards and reads their counters at time `now_s`.

        Raises:
            PowerUnavailableError: there is no driver, no board, or none that reports power.
        """
        self._nvml = nvml
        try:
            nvml.nvmlInit()
            self._boards = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
            if not self._boards:
                raise PowerUnavailableError("the NVIDIA driver shows no GPU")
            self.method: Method = "COUNTER" if self._all_count_energy() else "METERED"
            if self.method == "METERED":
                self._sensed_w()
        except nvml.NVMLError as error:
            raise PowerUnavailableError(f"no power from NVIDIA GPUs: {error}") from error
        self._read_s = now_s
        self._energy_mj = self._counters_mj() if self.method == "COUNTER" else []

    def power_w(self, now_s: float) -> float:
        """Power [W] of all boards: the mean since the last counter reading (COUNTER) or the present one (METERED).

        Raises:
            PowerUnavailableError: a board cannot be read, or its counter was reset.
        """
        try:
            if self.method == "METERED":
                return self._sensed_w()
            before_mj, interval_s = self._energy_mj, now_s - self._read_s
            self._energy_mj, self._read_s = self._counters_mj(), now_s
        except self._nvml.NVMLError as error:
            raise PowerUnavailableError(f"the GPUs cannot be read: {error}") from error
        counted_mj = [after - before for before, after in zip(before_mj, self._energy_mj, strict=True)]
        if min(counted_mj) < 0 or sum(counted_mj) == 0:
            raise PowerUnavailableError(
                "a GPU energy counter was reset or stood still: the driver was reloaded, so this interval has no figure"
            )
        return sum(counted_mj) * 1e-3 / interval_s

    def temperature_c(self) -> float:
        """Temperature [°C] of the hottest GPU.

        Raises:
            PowerUnavailableError: a board cannot be read.
        """
        sensor = self._nvml.NVML_TEMPERATURE_GPU
        try:
            return float(max(self._nvml.nvmlDeviceGetTemperature(board, sensor) for board in self._boards))
        except self._nvml.NVMLError as error:
            raise PowerUnavailableError(f"the GPUs' temperature cannot be read: {error}") from error

    def _all_count_energy(self) -> bool:
        try:
            self._counters_mj()
        except self._nvml.NVMLError_NotSupported:
            return False
        return True

    def _counters_mj(self) -> list[int]:
        return [self._nvml.nvmlDeviceGetTotalEnergyConsumption(board) for board in self._boards]

    def _sensed_w(self) -> float:
        return sum(self._nvml.nvmlDeviceGetPowerUsage(board) for board in self._boards) * 1e-3

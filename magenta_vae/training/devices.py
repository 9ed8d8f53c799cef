"""Where the replicas run."""

import tensorflow as tf


def make_strategy(num_virtual_devices: int = 0) -> tf.distribute.Strategy:
    """Returns the strategy for this machine: one device, or a replica on each of several GPUs.

    Args:
        num_virtual_devices: replicas on the CPU, for trying out what several devices would do; 0
            for the machine's own devices.
    """
    if num_virtual_devices < 0:
        raise ValueError(
            "--num_virtual_devices must be 0 or the number of CPU replicas. "
            f"Received: --num_virtual_devices={num_virtual_devices}."
        )
    if num_virtual_devices:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * num_virtual_devices
        )
        return tf.distribute.MirroredStrategy([f"CPU:{n}" for n in range(num_virtual_devices)])
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()

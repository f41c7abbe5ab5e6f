// SPDX-License-Identifier: GPL-2.0
/*
 * An SPI controller with nothing on its wires: what is shifted out is kept, for tests to read.
 *
 * One spidev child (/dev/spidev0.0). Every transfer is appended to the debugfs file
 * hwctl_spi/captured: length and clock in hertz, 4 bytes each, little-endian, and the bytes. A
 * write to the file forgets all. What is read back from the bus is zeros.
 */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/spi/spi.h>
#include <linux/uaccess.h>

#define ROOM (1 << 18)

static struct platform_device *device;
static struct dentry *folder;
static DEFINE_MUTEX(lock);
static u8 captured[ROOM];
static size_t used;

static int capture(struct spi_controller *controller, struct spi_device *child,
		   struct spi_transfer *transfer)
{
	__le32 head[2] = { cpu_to_le32(transfer->len), cpu_to_le32(transfer->speed_hz) };
	int ret = 0;

	if (transfer->rx_buf)
		memset(transfer->rx_buf, 0, transfer->len);
	if (!transfer->tx_buf)
		return 0;
	mutex_lock(&lock);
	if (used + sizeof(head) + transfer->len > ROOM) {
		ret = -ENOSPC;
	} else {
		memcpy(captured + used, head, sizeof(head));
		memcpy(captured + used + sizeof(head), transfer->tx_buf, transfer->len);
		used += sizeof(head) + transfer->len;
	}
	mutex_unlock(&lock);
	return ret;
}

static ssize_t captured_read(struct file *file, char __user *to, size_t count, loff_t *at)
{
	ssize_t ret;

	mutex_lock(&lock);
	ret = simple_read_from_buffer(to, count, at, captured, used);
	mutex_unlock(&lock);
	return ret;
}

static ssize_t captured_write(struct file *file, const char __user *from, size_t count, loff_t *at)
{
	mutex_lock(&lock);
	used = 0;
	mutex_unlock(&lock);
	return count;
}

static const struct file_operations captured_ops = {
	.owner = THIS_MODULE,
	.read = captured_read,
	.write = captured_write,
};

static int spi_capture_probe(struct platform_device *pdev)
{
	/* Of spidev's own table of names: Linux refuses a child that is called "spidev". */
	static struct spi_board_info child = { .modalias = "dh2228fv", .max_speed_hz = 10000000 };
	struct spi_controller *controller = devm_spi_alloc_master(&pdev->dev, 0);
	int ret;

	if (!controller)
		return -ENOMEM;
	controller->bus_num = 0;
	controller->num_chipselect = 1;
	controller->mode_bits = SPI_CPOL | SPI_CPHA;
	controller->bits_per_word_mask = SPI_BPW_MASK(8);
	controller->transfer_one = capture;
	ret = devm_spi_register_controller(&pdev->dev, controller);
	if (ret)
		return ret;
	return spi_new_device(controller, &child) ? 0 : -ENODEV;
}

static struct platform_driver driver = {
	.probe = spi_capture_probe,
	.driver = { .name = "spi-capture" },
};

static int __init spi_capture_init(void)
{
	int ret = platform_driver_register(&driver);

	if (ret)
		return ret;
	device = platform_device_register_simple("spi-capture", -1, NULL, 0);
	if (IS_ERR(device)) {
		platform_driver_unregister(&driver);
		return PTR_ERR(device);
	}
	folder = debugfs_create_dir("hwctl_spi", NULL);
	debugfs_create_file("captured", 0600, folder, NULL, &captured_ops);
	return 0;
}
module_init(spi_capture_init);

static void __exit spi_capture_exit(void)
{
	debugfs_remove(folder);
	platform_device_unregister(device);
	platform_driver_unregister(&driver);
}
module_exit(spi_capture_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("SPI controller that keeps what it is given, for tests");

"""What the commands do, for the parsed configuration: data sets, runs, metrics, pictures, music."""

"""What the commands do, for the parsed configuration: data sets, runs, figures, music."""

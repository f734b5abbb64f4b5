"""What master and worker say to each other; knows neither."""

"""What the processes say to each other: master and worker, command and master; knows none of them."""

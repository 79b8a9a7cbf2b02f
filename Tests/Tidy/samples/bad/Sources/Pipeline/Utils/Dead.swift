struct Dead {}

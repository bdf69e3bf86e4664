"""Train runs on the workers of a Dask cluster. Only this package imports Dask."""

"""Modelward: a Kubernetes operator that serves models and rolls every change of them out safely."""

__version__ = "0.1.0"

"""The packages to install: `eucapy` as it stands, and `services/` under the import name `eucapy_services`.

Everything else is declared in `pyproject.toml`; setuptools has no declarative way to rename a package that it finds.
"""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["eucapy", "eucapy.*"]),
        "eucapy_services",
        *(f"eucapy_services.{name}" for name in find_packages("services")),
    ],
    package_dir={"eucapy": "eucapy", "eucapy_services": "services"},
    package_data={"": ["**/*"]},
    exclude_package_data={"": ["__pycache__/*", "*.pyc"]},
)

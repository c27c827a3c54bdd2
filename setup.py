"""Packages are found, not listed; `configs`, at the top of the checkout, becomes part of the package."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=['dlc_mmseg', 'dlc_mmseg.*']), 'dlc_mmseg.configs'],
    py_modules=['dlc_mmseg_cli'],  # the console script
)

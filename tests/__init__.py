"""Tests. `schemas`, `pipeline` and `consumer` mirror the packages, a file for each module.

integration   several real parts together, over real servers
chaos         what kills, cuts and outages leave behind; `make chaos`
contract      what was released, and must hold for ever
deploy        charts, images and documents
hostile       media and records that mean harm
parity        numbers of the original implementations
bench         figures and not tests: `make bench`
support       what tests stand on: servers, media, packages
"""

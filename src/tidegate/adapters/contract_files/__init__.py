"""Data contracts in the Open Data Contract Standard, with native Great Expectations suites."""

from tidegate.adapters.contract_files.files import ContractFiles

__all__ = ["ContractFiles"]

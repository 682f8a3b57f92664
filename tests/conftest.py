"""Where a shared part of the tests asserts, pytest shows what it compared, whoever imports it first."""

import pytest

pytest.register_assert_rewrite("backend_parts", "backend_suite")

"""Policy, path resolver, shell gate, approvals."""

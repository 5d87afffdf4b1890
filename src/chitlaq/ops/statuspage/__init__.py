"""The status page: what members are told, and stands while everything else is down."""

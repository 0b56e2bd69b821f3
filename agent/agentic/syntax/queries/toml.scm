(table . (_) @name) @other
(table_array_element . (_) @name) @other
(document (pair . (_) @name) @other)

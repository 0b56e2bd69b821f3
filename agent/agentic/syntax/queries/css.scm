(rule_set (selectors) @name) @other
(keyframes_statement (keyframes_name) @name) @other

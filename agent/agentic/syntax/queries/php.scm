(class_declaration name: (name) @name) @class
(interface_declaration name: (name) @name) @type
(trait_declaration name: (name) @name) @class
(enum_declaration name: (name) @name) @type
(function_definition name: (name) @name) @function
(method_declaration name: (name) @name) @method
(const_declaration (const_element (name) @name)) @constant

"""From a Postfix that was set up by hand to a draft of an inventory, and to what no inventory can say. Pure.

`facts` is what the host told, `ways` how its mail leaves, `people` who sends, `draft` the inventory, `differences` what
the fleet's Postfix would do otherwise, held against the rendered files and not against a list.
"""

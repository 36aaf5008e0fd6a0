"""The same run many times over: does any verdict differ?"""

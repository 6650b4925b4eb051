"""maillog"""
